"""Tests of the operators' desk."""
