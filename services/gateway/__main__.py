"""`python -m services.gateway`"""

from services.gateway.run import main

main()
