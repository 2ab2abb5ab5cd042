"""Runs the market feed."""

from libs.runtime.process import run
from services.market_feed.adapters.feed import MarketFeed
from services.market_feed.contract import CONTRACT
from services.market_feed.machine import MarketFeedMachine
from services.market_feed.settings import Settings

if __name__ == "__main__":
    run(CONTRACT, MarketFeedMachine, Settings, adapter=MarketFeed)
