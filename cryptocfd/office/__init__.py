"""Pages of the back office that look over the whole house: exposure, results, liquidation ladder, health.

They are put together here because they ask several apps; each app's own lists are in its admin.py. Figures are read models summed up by
the database, prices are this process's own; each page says how old both are. Nothing is changed here.
"""
