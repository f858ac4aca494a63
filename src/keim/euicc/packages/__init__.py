"""eUICC packages (LoadEuiccPackage, SGP.32 clause 5.9.1): the ladder, the execution, one file per command."""
