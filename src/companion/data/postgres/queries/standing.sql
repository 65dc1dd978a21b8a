-- Only our schema: the name of an index is unique within one.
SELECT t.relname || '.' || c.relname AS key, i.indisvalid AND i.indisready AS is_valid
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_class t ON t.oid = i.indrelid
WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
