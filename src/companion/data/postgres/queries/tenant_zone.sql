SELECT timezone::text AS timezone FROM organizations WHERE id = $1::uuid
