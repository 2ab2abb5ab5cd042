"""What more than one service needs: the language (common), the shells (runtime), the domain arithmetic (trading)."""
