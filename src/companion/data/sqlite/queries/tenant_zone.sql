SELECT timezone FROM organizations WHERE id = ?1
