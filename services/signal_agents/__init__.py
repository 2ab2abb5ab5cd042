"""Agents hold opinions; the portfolio joins them into intents. One deployment per agent."""
