"""Every setting by its table in bulkhead.toml. Written by docs/generate.py from the settings classes; `make docs` writes it again.

It is written down so that a service can refuse a misspelt line of any other without carrying that other's code.
"""

NAMES = """
[] profile home nats_url log_stream log_replicas instance egress http_host http_port clock_url log_level otlp_endpoint
instruments venue_url
[up] port_base book mode certificate certificate_days_max market_url backup_folder backup_drill_days epoch_mb_max
epoch_days_max backup_before_change accept_unknown_events newcomer gateway restart_loop_crashes restart_loop_pause_s
log_file_bytes_max log_files_kept agents_extra
[telegram] token_file users url chats totp_file services poll_s answer_s_max command_wait_s rate rate_dangerous
[feed] venues venue_url reader history_bars history_weeks grace_ms mark_interval_ms mark_gap_ms mark_heartbeat_ms
mark_jump_bps alive_window_ms staleness_ms_max ping_ms trade_silence_ms_max down_ms_max leave_ms return_ms
left_behind_ms poll_ms notional_min spread_max
[trend] timeframes ema_fast_span ema_slow_span wilder_n adx_threshold rsi_overbought gap_bars_max
[macro] level_atr slope_atr weeks_min weeks_settled gap_weeks_max
[levels] timeframe bars_max fade_bars gap_bars_max
[llm] url model api_key_file deadline_ms answer_length_max temperature seed structured usd_per_mtok_in
usd_per_mtok_out usd_per_call_max usd_per_day_max
[portfolio] agents risk_per_trade position_pct_max stop_atr target_atr slippage_bps exit_flat_bars signal_age_ms_max
quote_age_ms_max intent_valid_ms denial_cooldown_ms exit_retry_ms quorum score_min hold_ms_max decay_ms levels regimes
model model_veto_p model_wait_ms
[risk] venue signing_key_file price_age_ms_max reconciled_age_ms_max collar_aggressive collar_passive order_value_max
order_value_fraction_max position_fraction_max gross_exposure_fraction_max total_risk_fraction_max
cluster_fraction_max cluster_correlation_min correlated_fraction_max correlation_timeframe correlation_bars_min
correlation_assumed spread_bps_max spread_multiple_max positions_max stop_distance_min stop_distance_max
loss_fraction_max duplicate_window_ms orders_per_second_max orders_per_minute_max drawdown_half_risk
drawdown_entry_max drawdown_halt drawdown_flatten daily_loss_max cooldown_ms losses_in_a_row_max losses_pause_ms
approval_ttl_ms intent_memory_hours macro levels blackouts bars bar_timeframe stop_atr_min stop_atr_max
day_volume_share_max slippage_max signals signal_age_share_max
[exec] gate_public_key_file gate_public_key venue api_key_file api_secret_file api_passphrase_file venue_url
deadline_ms recv_window_ms finality_margin_ms notional_max price_band_bps mark_age_ms_max protect_ttl_ms ask_ttl_ms
reconcile_interval_ms lookup_delays_ms retry_delays_ms base_tolerance quote_tolerance pairs cover_ms_max soft_stop_ms
stop_limit_slack_bps trail_bps foreign_orders flatten_on_stop check_interval_ms crash_starts_max losses_in_a_row_max
losses_pause_ms
[ledger] equity_interval_s projection_batch_max projection_batch_ms database_url_file
[notify] channel urls_file urls_level repeat_window_s send_ttl_s attempts_max backoff_s backoff_s_max
breaker_failures_max breaker_pause_s breaker_pause_s_max waiting_kinds_max heartbeat_url_file heartbeat_s
[gateway] host port plain_http tls_cert_file tls_key_file token_file services bus_monitor_url rate_address rate_caller
rate_failures body_bytes_max body_s_max answer_s_max command_wait_s streams_max streams_per_token
[sim] host port mode speed seed start instruments data bars follow_url balances latency_ms slip_bps impact_bps
participation_max weight_limit api_key_file api_secret_file api_passphrase_file key_withdrawals key_trading
key_ip_restricted
[model_sim] host port voice
[telegram_sim] host port chats
[alert] model_failed_share_max limit_share daily_loss_share api_weight_share data_age_s_max orders_slo runbooks_url
telegram_chat
"""
"""Tables in brackets, each with its keys; the one without a name is the root."""
