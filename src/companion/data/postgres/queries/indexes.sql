SELECT c.relname::text AS name, t.relname::text AS table_name,
  (i.indisvalid AND i.indisready)::int::bigint AS is_valid, i.indisunique::int::bigint AS is_constraint,
  s.idx_scan AS scans, pg_relation_size(c.oid) AS bytes
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_class t ON t.oid = i.indrelid
LEFT JOIN pg_stat_user_indexes s ON s.indexrelid = i.indexrelid
WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
