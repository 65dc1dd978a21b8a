INSERT INTO companion_leases AS held (name, holder, expires_at)
VALUES (?1, ?2, CAST(unixepoch('subsec') * 1000000 AS INTEGER) + ?3 * 1000)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
WHERE held.holder = excluded.holder OR held.expires_at <= CAST(unixepoch('subsec') * 1000000 AS INTEGER)
RETURNING holder
