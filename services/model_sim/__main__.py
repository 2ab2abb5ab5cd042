"""`python -m services.model_sim`"""

import sys

from services.model_sim.run import main

main(sys.argv[1:])
