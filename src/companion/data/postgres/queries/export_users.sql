SELECT id::text AS id, first_name::text AS first_name, last_name::text AS last_name, role::text AS role,
  (extract(epoch FROM created_at) * 1000000)::bigint AS created_at_us,
  (extract(epoch FROM last_login_at) * 1000000)::bigint AS last_login_at_us
FROM users
WHERE organization_id = $1::uuid AND deleted_at IS NULL AND created_at >= to_timestamp($2 / 1000000.0)
  -- Behind a row: older, or as old with a greater id. Without an id only what is older.
  AND created_at <= to_timestamp($3 / 1000000.0) AND (created_at < to_timestamp($3 / 1000000.0) OR id > $4::uuid)
-- By the id itself: as a text, numbers have another order than the one in which a chunk goes on.
ORDER BY users.created_at DESC, users.id
LIMIT $5
