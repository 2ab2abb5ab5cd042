"""`python -m services.telegram_bot`"""

from services.telegram_bot.run import main

main()
