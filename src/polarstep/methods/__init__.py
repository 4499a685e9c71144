"""The methods of the paper: objectives, parameterizations, rules, and the table of methods.

Every method is one combination of a parameterization, a direction rule and a length rule, which one
loop drives. The modules stand in the order of the paper's equations.
"""
