-- Nobody counts who reads an index. Its pages are counted by `dbstat`, which the bundled SQLite has.
SELECT m.name, m.tbl_name AS table_name, 1 AS is_valid, l."unique" AS is_constraint, CAST(NULL AS INTEGER) AS scans,
  CAST((SELECT pgsize FROM dbstat WHERE dbstat.name = m.name AND aggregate = TRUE) AS INTEGER) AS bytes
FROM sqlite_master m
JOIN pragma_index_list(m.tbl_name) l ON l.name = m.name
WHERE m.type = 'index'
