-- Until the end of the transaction nobody else adds or finishes an export of this tenant.
SELECT pg_advisory_xact_lock(hashtextextended('tidegate export ' || $1, 0)) IS NULL AS locked
