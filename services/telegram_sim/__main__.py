"""`python -m services.telegram_sim`"""

import sys

from services.telegram_sim.run import main

main(sys.argv[1:])
