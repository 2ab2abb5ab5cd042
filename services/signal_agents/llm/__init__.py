"""The model agent on its leash: a language model is asked about one rule decision at a time, and may only agree, disagree or abstain."""
