"""What Prometheus and Alertmanager are configured with, as typed Python: scraping, rules, routes."""
