"""The namespaces that core itself brings; found through entry points like any other."""
