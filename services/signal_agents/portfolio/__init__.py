"""Joins the agents' opinions into sized order intents with stop and target."""
