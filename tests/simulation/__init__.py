"""The whole system under one seeded scheduler: every machine, a venue, and everything that can go wrong between them."""
