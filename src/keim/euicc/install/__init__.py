"""LoadBoundProfilePackage (SGP.22 clause 5.7.6): from the first octet of BF36 to the installation result."""
