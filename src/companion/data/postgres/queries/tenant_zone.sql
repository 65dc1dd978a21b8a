SELECT timezone::text AS timezone FROM organizations WHERE id = $1::uuid AND deleted_at IS NULL
