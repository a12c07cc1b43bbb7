"""Statements of an account over a period: collected once, proved to add up, written as JSON, CSV, XLSX or PDF."""
