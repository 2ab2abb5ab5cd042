"""A language model's server for tests and demos: it speaks OpenAI's chat completions, obeys a script, and can fail in every way we know."""
