"""How much a deployment of a size needs: from measured costs to machines, and a simulation that checks it.

``costs`` has what one thing takes, ``demand`` what people do, ``plan`` divides the one into machines, and
``simulation`` lets the busiest hour happen by chance on that many machines, with the death of one.
"""
