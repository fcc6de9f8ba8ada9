"""`explain`: why was this client sent to Broadly, or not?"""
