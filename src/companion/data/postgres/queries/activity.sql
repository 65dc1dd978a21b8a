SELECT a.id::bigint AS id, a.activity_type::text AS activity_type, a.user_id::text AS user_id,
  nullif(trim(coalesce(u.first_name, '') || ' ' || coalesce(u.last_name, '')), '') AS user_name, a.entity_type::text AS entity_type,
  a.entity_id::text AS entity_id, a.summary::text AS summary, (extract(epoch FROM a.created_at) * 1000000)::bigint AS occurred_at_us
FROM (
  SELECT *
  FROM activity_log
  WHERE organization_id = $1::uuid
    AND created_at >= to_timestamp($2 / 1000000.0) AND (created_at, id) < (to_timestamp($3 / 1000000.0), $4)
  ORDER BY created_at DESC, id DESC
  LIMIT $5
) AS a
-- A name is one of the tenant's own, whatever the row of the feed says.
-- One after the other by the key, also for thousands: joined at once, all tenants' users would be read for them.
LEFT JOIN LATERAL (
  SELECT first_name, last_name FROM users WHERE id = a.user_id AND organization_id = a.organization_id LIMIT 1
) AS u ON true
ORDER BY a.created_at DESC, a.id DESC
