"""`python -m services.exchange_sim`"""

from services.exchange_sim.run import main

main()
