"""Finite-size scaling: error curves of several sizes on one."""
