"""`make load`: the real stack under more and more instruments, watched by Locust's users from outside.

    exchange_sim ══▶ market-feed ──▶ nats-server ◀──▶ agents, portfolio, gate, executor, ledger ──▶ Postgres      `bulkhead up`'s own processes
         ▲                               ▲
         │ /api/v3/time                  │ reads the log, reads prices, says commands (wire.py)
         └──────── Locust's users, one process, an environment of its own (users.py) ──── samples ──▶ this process: report

What loads a trading system is its market: the number of instruments, times how fast it runs. Locust's users are who else is there: one follows
the whole log, some read prices as consoles do, one is an operator. What they see of the event path they fire as Locust requests, so that
Locust counts, its percentiles are the report, and a user of the HTTP API will be one more class beside them (`users.USERS`).

**Why a process of its own, and sockets.** Locust replaces the standard library's sockets and threads by gevent's as soon as it is imported, and
brings a plugin into pytest; neither must come near the stack, its supervisor or our tests. In its process no asyncio runs: users speak to
nats-server over plain sockets, of which gevent makes cooperative ones. Because Locust shares two cores with everything it watches, no latency
of the event path is taken on its clock: both ends are nats-server's time stamps of two messages in the log (`event_path.py`), and only what a
user asks for himself is timed by him.
"""
