SELECT CAST(id AS TEXT) AS id, CAST(first_name AS TEXT) AS first_name, CAST(last_name AS TEXT) AS last_name, CAST(role AS TEXT) AS role,
  created_at AS created_at_us, last_login_at AS last_login_at_us
FROM users
WHERE organization_id = ?1 AND deleted_at IS NULL AND created_at >= ?2
  -- Behind a row: older, or as old with a greater id. Without an id only what is older.
  AND created_at <= ?3 AND (created_at < ?3 OR id > ?4)
-- By the id itself: as a text, numbers have another order than the one in which a chunk goes on.
ORDER BY users.created_at DESC, users.id
LIMIT ?5
