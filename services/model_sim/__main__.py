"""`python -m services.model_sim`"""

from services.model_sim.run import main

main()
