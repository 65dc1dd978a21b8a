//! Public keys, and tokens signed with private keys that were thrown away: `sub` is `ada`, `org` is `acme`, `exp` is
//! 2000000000.

/// RSA, 2048 bits.
pub(super) const RSA_PEM: &str = "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAtfHwcKAYk537E9O52uyC\nzCXYDtM3O/nzYBh8nx92l97A6heBqTy1D7ZFFk0oqu6RhLsMvXrFTjRvdNiBVdIw\nUkKXWIS8nUUG9wWaplMfCAv8OHrtIw2rfnP9GdjpttRSa/LVWaxtP/tdTw9YoMSW\nFlOoCTu+xKEQ6jjjJ8M8UPa7KnTDOYpRGBSKKqH5Bn9ds4Z6PV9LRDUn3p2XdC4t\n0LU5MP5WKqXkL0ju/Wvr/LXvP1fScQjZtO7PeH9bO2iT89LlGjJOLndIO9DZbVB9\nZMNZCNRPQVzqtdj6coQeXaLMU9dck62QGHqNQ6i9ADWOpyfdHrVEaT3e2q3PTGzM\nDwIDAQAB\n-----END PUBLIC KEY-----\n";

/// RSA, 1024 bits.
pub(super) const RSA_WEAK_PEM: &str = "-----BEGIN PUBLIC KEY-----\nMIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQD7h5IRODj2fLsdV/7fbdJZc/L0\n9Af8kQE/prKUzczXuYNEFVhjr2WGrzXRRo7SNYpnzqGKhTGhQ/v9FlnT/kcwTvpS\ncnlKKwHQ2oUl9qwssgC6wanN/2sPZ129GKUeGJvonkkFqtrobqkh7wwHwOrMzZJL\n9xFWLkEplvPFdv9+DwIDAQAB\n-----END PUBLIC KEY-----\n";

/// P-256.
pub(super) const P256_PEM: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEfbZXSSyELtj3kq4XggNuyutkuiE+\nj+pEvtpolX+l4llICWaV62Kshc/S/e4J72+wgACrqYExCuf7SQptKlJXtQ==\n-----END PUBLIC KEY-----\n";

/// P-384.
pub(super) const P384_PEM: &str = "-----BEGIN PUBLIC KEY-----\nMHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEHuRvl/GRpFA/FxfD6txlHNlb6nzFZ3ub\n5sfkkUtap+UCgg5A3XyUPm2wuI5gjw5PPpqm2wSMy5fG+wd3rni5wjzBGDNsiHQK\nWN2VzK3EWOIns0nSiWPVUhn2m/OlcsOI\n-----END PUBLIC KEY-----\n";

/// P-521.
pub(super) const P521_PEM: &str = "-----BEGIN PUBLIC KEY-----\nMIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQAT5igcEJESMlFRluww9+3rvE+ae/S\n0A4wumOmzYtVQBdYzF4okYuCAuIQA2XLXQOyfGalXeQgUvbjf74R4RDpIt4ARqP/\n/Yu4PFErWv7T4VsQykKFun/qnigz4U/DaPiU0uAV0+wAkz5Ot7mz/nPWEP1AgkVg\nJS1Imxn8dlTxds2sU0w=\n-----END PUBLIC KEY-----\n";

/// Ed25519.
pub(super) const ED25519_PEM: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEALjFa2e5L4HohcZEXHt/Zh1+DPEHx+YSMstVCzquYOvg=\n-----END PUBLIC KEY-----\n";

/// The same RSA key in the older form.
pub(super) const RSA_PKCS1_PEM: &str = "-----BEGIN RSA PUBLIC KEY-----\nMIIBCgKCAQEAtfHwcKAYk537E9O52uyCzCXYDtM3O/nzYBh8nx92l97A6heBqTy1\nD7ZFFk0oqu6RhLsMvXrFTjRvdNiBVdIwUkKXWIS8nUUG9wWaplMfCAv8OHrtIw2r\nfnP9GdjpttRSa/LVWaxtP/tdTw9YoMSWFlOoCTu+xKEQ6jjjJ8M8UPa7KnTDOYpR\nGBSKKqH5Bn9ds4Z6PV9LRDUn3p2XdC4t0LU5MP5WKqXkL0ju/Wvr/LXvP1fScQjZ\ntO7PeH9bO2iT89LlGjJOLndIO9DZbVB9ZMNZCNRPQVzqtdj6coQeXaLMU9dck62Q\nGHqNQ6i9ADWOpyfdHrVEaT3e2q3PTGzMDwIDAQAB\n-----END RSA PUBLIC KEY-----\n";

/// Signed with `RS256`.
pub(super) const RS256: &str = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEiLCJvcmciOiJhY21lIiwiZXhwIjoyMDAwMDAwMDAwfQ.CP7npbS31_5cls6MkVO5lKSBy9lZtkBArMXyjJkH6SHe0_MoYz2gSDxA6FVi_VxifPYcyEp7ozWYiqtdcoEetKURjwZY1aIxR8lzGAYMkLJNApsmURNS2PSvh_7jKCeRko598b7lPlMoJTS1F36JKv-H78cDH66G1_EzMYBVW2epGuYbcPCKs0MG1iuWyLvlhedmsMD_jKI1pE2EbBiZRyFWiNkgMv0rxz2OeRlAXGUW2hEE8JSVXFZzcbql2tgD1eJesvKHonDB5n-pZpugSBKCZRuZ9IHrIcv6hJwRBPzKX35RsYGPGSoyCsDm1lVMiW5pNkl6vWxcziAmCbBLcw";

/// Signed with `RS384`.
pub(super) const RS384: &str = "eyJhbGciOiJSUzM4NCIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEiLCJvcmciOiJhY21lIiwiZXhwIjoyMDAwMDAwMDAwfQ.k1LtO288FpsFz5wwU9mgJuJMNWBBmvwwFqeS287_17F-QaKThFZwLvBJuTm8fLJoqi04IBjFxQi4mTtfWnVTDsaNj3WLBuM5Qy5cr5QZ4RWEemcyY7GcHhBb84u7QDPMn8WUlq2mFLgubxYKXr2M-VEA3SnK9bz4K4CEgzeN-yzxsG97L3Asst-SolSvJY1nUMS2Q6oYoCMUjfHRBaAcUJDmh9ouKJIV9ZY0oDeNPANok-r9BoD_jlu0qPP__NZVbe_FlMqdc6L5aCg-c5HN3EBBZyheAnqkADvtSZu1EiJIyxcUs7eZBDQXgnT-auL10TLNoWb_Mx9lndXQw0DaGg";

/// Signed with `RS512`.
pub(super) const RS512: &str = "eyJhbGciOiJSUzUxMiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEiLCJvcmciOiJhY21lIiwiZXhwIjoyMDAwMDAwMDAwfQ.FbLhLnFZkUfV0eRATFKSRN-ymwNPaZ5EIGJ_LV0krLAXwnLGwDdykC9iqkOyEI82g6AYdfZFPBjhoaBlp0-UTIKQwfVoYvpPp1mFU-3KxvFM2XMTBov6dMZViX1fggJt9M45zf6QlDPK0dPldd1AQYJYeVgrOVuv9lPNdW99sHzG3ex3JfzNwQu7JiUI2Y3MF37z5ERjHgEBmfLYQMYqAKMjpme3jPNx-20Lwfh73xj7UCDg2rvpeL4BN2iS2QCp6j2w9in-mAcQYi2lk12A-9KWbVN6raTF0jU100Nt_CfcDcP6O4RY2UAeGCpU_9o2qoAjcXetyGu2-ayEeu6zFQ";

/// Signed with `PS256`.
pub(super) const PS256: &str = "eyJhbGciOiJQUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEiLCJvcmciOiJhY21lIiwiZXhwIjoyMDAwMDAwMDAwfQ.CokCj91RO4sOD1vZgF8cKFOmhQvEP7zqdyImq4oAgCp0P153vd0qMdirlKTxB7Ocb7RZn5Rt-ff2K8nX4PauU0rDlfoHmvEFRm6dQIilfvo5a0Xu5K2HcfsEv3aUZxiXaqvsJOa9ekU6TOQuCNN0yWpNmsGaoWZuzhup_0-z6hHCCDe1m-bjWMDwbN3_OTR1nbCKiKDKEOgNIRB9imjkbGTLPX8xvcEo19mgDVKcKtFLlLGyKVZz8kqbS0kDhN6gLucdDU5gxWW3LPoBkMatgk9u9z3XsyI1rPNxjqzOeVbDfwDtvEh_oJulI2ujziuaYmWYgoaF_0Mw1pJr8_oeiw";

/// Signed with `PS384`.
pub(super) const PS384: &str = "eyJhbGciOiJQUzM4NCIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEiLCJvcmciOiJhY21lIiwiZXhwIjoyMDAwMDAwMDAwfQ.RAcUIJFRsPcE5mLWxAhYkgslkCK9-PVCvGf8Hw5LjCMSpSDz0X1lW3y21hB-a7EKDNHytgl3cYWFT60pSAg3fUnfiKV4Urx2oeWpQfgQqW-41eYKw5gV8qyAH_96pfgGM73kcN9jaCn5JS-z_3A5q57j8FMG2suB_pFWV1Bw7Mz4XCoSVAVafwvGKHt98iqCSCvqzjkjSS7JhZWvI5W5how0Ge44eJGi9cbo5JxBQ6jd0g2lHtkj36FYuUV-UpqO7yffGYo7WXRPwFEtu5Iq2CtoK3ufLmsV40XLZNCzUFtWY6eeJ5BSSH3rIC5JS8vnZ-QNjJv8XcpbOS4lrbzfwQ";

/// Signed with `PS512`.
pub(super) const PS512: &str = "eyJhbGciOiJQUzUxMiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEiLCJvcmciOiJhY21lIiwiZXhwIjoyMDAwMDAwMDAwfQ.oVpOXpMMMuXDxGrjFr9u9c-2q2fAya8L2kYbNnPpMSuXxCS6e-RB54mNwQnyGfREonaYmBQbdiKrZQnLZXD5iGBMNUxXZiUHwzWbeRo1_s3c_LO2l56Ee9qahx7IT5YJxcu4wi82c6-_tiNwzROfGhoUSyijBoXAxxbq122oRe0QjwCmzZ3kHQXWntGaw6Hdw5eR5EGBp9k1aJ5OY-e84tPUW3_owt6-w8mREvNICrepD2JRqYruTE4T64dusAwnOeweyCFm2Cq_Vpdn9c9XBf2H6uumdjkBtEqAWKzr9InKR64E87FDpEEq6DjcRZQA95TUKYN5B7qfm4pW844caA";

/// Signed with `ES256`.
pub(super) const ES256: &str = "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEiLCJvcmciOiJhY21lIiwiZXhwIjoyMDAwMDAwMDAwfQ.OySPEBKMBfglAIWW0N20Wff7-cBkkEETp-we9cpBiMGsViD3if2G4-OmbUPF74n7LC-8S1E3l5Q07jO1Gh9KPA";

/// Signed with `ES384`.
pub(super) const ES384: &str = "eyJhbGciOiJFUzM4NCIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEiLCJvcmciOiJhY21lIiwiZXhwIjoyMDAwMDAwMDAwfQ.i_ONC0Lhba3K9ZXHiWmgw5gNiDSq1rz5MLyRaoRRlSr8MmkfCDxvTyQ0WsBzni2CsmS29ENIO0BO7heCYe1ZdHgZZOr2QSAlU8h7fKCXh59cOz0tqnvkDLfh4HsVE6K_";

/// Signed with `EdDSA`.
pub(super) const EDDSA: &str = "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEiLCJvcmciOiJhY21lIiwiZXhwIjoyMDAwMDAwMDAwfQ.MLmvrHxxb0VzPs24y-hN4wfl13cr6DXy0Ilh2YQtbMaIe3ujhaszcliKh70yHsCyA50OvMTDqIHD55F-SYTeCw";

/// Signed with the RSA key, key id `rsa-1`.
pub(super) const RS256_KID_RSA: &str = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InJzYS0xIn0.eyJzdWIiOiJhZGEiLCJvcmciOiJhY21lIiwiZXhwIjoyMDAwMDAwMDAwfQ.BNRo4qwliYi6VzbuL5fh8G_em8VZP1RhD2ndcBzZghUn3SOzsRcf3T2gwMAGVZcCRXZREt9n8kqKFDcqo0qUo2G21Vp46kSbQBKv_sNCcsbK2V9Jq4IkYRhYQyxKKF5wp0vYyJqyKKpc6So16Shh0rvnjqxwMWssTzilTdWldAlSMznlTvTGBbmcQVWmdyNUvWnToQGAUfZ2YXPF8JTHPS0APbg5AioKwdoFoAxB6Tw21lma8q2N1787sjDWTVnFvzr_wgjV-QwBHrUHqwL1e7NgHIvaKzzGzssg4wr5kLcaFbntBYE0CxhDHoNwl6Yo0mfvmNqEQSpIZrmjz14Jcg";

/// Signed with the second RSA key of the set, key id `rsa-2`.
pub(super) const RS256_KID_OTHER: &str = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InJzYS0yIn0.eyJzdWIiOiJhZGEiLCJvcmciOiJhY21lIiwiZXhwIjoyMDAwMDAwMDAwfQ.SOt7sVVHMRepnb4GMah5VEWyfR3kvd2pJqEh45s5ZMFdaLwiPY-A-0IrnAJ8T6T95t3YVsAzSoWD5Fza6CzdxG9Qf82B3GV9vRuOeu60fYrIMimO-bW7Q4Ach0qU-8dp1qtIlA1LLVKGPrmc3n6m-3fdYSeZGHsuZ5TQP2SLKaP-6pkSqZi4xZq0MqGzVIbUBa4mZpLDkv3CfSQWpWS1vyCRC2VxyzTh16DKb1ooU2v9xHIodSnOgNdc-MmwWj1lyPKq0cnpSYp_o84Pn7equWx3ZwLlFE4qhuQSJy21PUZz24oglb_OYc82Xzg9UmbqAghC352bMUm2F-p-1mPQYg";

/// Signed with the RSA key, but with a key id that no set has.
pub(super) const RS256_KID_LOST: &str = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6Imxvc3QifQ.eyJzdWIiOiJhZGEiLCJvcmciOiJhY21lIiwiZXhwIjoyMDAwMDAwMDAwfQ.axTw13t2yDnOLyE8VjvvscKvfvDaH08bxhlPpBR6VQqocnhyvzUxIAVJRazovALOGPIJO8B88y23l8jA2dSv-OuVWSv0vP5zW1GK1GNMmJig4hdgng20L5_6HxDI_qNgPuzab1fn-5SEQrtPeUBI3MWHaz_Qvvsku5L1azauyJaqTAiu3x0FuRJ84I0me3NFxgNol52A5sOn3n0xpnwpUyqBOVX4M2vvSnjxrGSkcdMhIMbYsrNLVgGuYaSAl35l33ZYbjV5TawlwrHqJ5gnEqNZk9eqqRee15jC41RH2bMOW8tye9fVjk_xvEUxrkodeaFlKYOTBAy0uD4GVaiZ-g";

/// Signed with the second RSA key of the set, no key id.
pub(super) const RS256_OTHER: &str = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEiLCJvcmciOiJhY21lIiwiZXhwIjoyMDAwMDAwMDAwfQ.BdWBLnl0rR1eOwsExlV6lGA8N7pMoOCUs7iM9ViT8oiO7bAyn-4jIJiDdrWut9D71sCGkJLddMM9gG_Kr7S8IBoVRZXZ_SJSrjcoar7rc9M-HSZReKxBmiPAuyoU95q2OqrakwR-_I-bT_bpQywasjmRzNoZZLxsfBtZuDsFUCVVtraVCEBo_1YKXN35R02h5iLGj85hi-xH4Ka1ATwoBPN8PvWiSnRawSWPHhvFUWITAYuSpubD3ToXDsuwC_RfLY7lpf9q8IMx2pkZujo2KblQ3-3gO8NkLffwZ0omlKxrbIpXHJJgDXmIdN916LXNIQ1KKnc_EZPpFtiNZG68hA";

/// A key set with all of these, an encryption key, an unknown kind and rubbish.
pub(super) const KEY_SET: &str = r#"{"keys":[{"kty":"unheard-of","kid":"x"},42,{"kty":"RSA","n":"tfHwcKAYk537E9O52uyCzCXYDtM3O_nzYBh8nx92l97A6heBqTy1D7ZFFk0oqu6RhLsMvXrFTjRvdNiBVdIwUkKXWIS8nUUG9wWaplMfCAv8OHrtIw2rfnP9GdjpttRSa_LVWaxtP_tdTw9YoMSWFlOoCTu-xKEQ6jjjJ8M8UPa7KnTDOYpRGBSKKqH5Bn9ds4Z6PV9LRDUn3p2XdC4t0LU5MP5WKqXkL0ju_Wvr_LXvP1fScQjZtO7PeH9bO2iT89LlGjJOLndIO9DZbVB9ZMNZCNRPQVzqtdj6coQeXaLMU9dck62QGHqNQ6i9ADWOpyfdHrVEaT3e2q3PTGzMDw","e":"AQAB","use":"enc","kid":"rsa-1"},{"kty":"EC","crv":"P-521","x":"AE-YoHBCREjJRUZbsMPft67xPmnv0tAOMLpjps2LVUAXWMxeKJGLggLiEANly10DsnxmpV3kIFL243--EeEQ6SLe","y":"AEaj__2LuDxRK1r-0-FbEMpChbp_6p4oM-FPw2j4lNLgFdPsAJM-Tre5s_5z1hD9QIJFYCUtSJsZ_HZU8XbNrFNM","kid":"p521"},{"kty":"RSA","n":"tfHwcKAYk537E9O52uyCzCXYDtM3O_nzYBh8nx92l97A6heBqTy1D7ZFFk0oqu6RhLsMvXrFTjRvdNiBVdIwUkKXWIS8nUUG9wWaplMfCAv8OHrtIw2rfnP9GdjpttRSa_LVWaxtP_tdTw9YoMSWFlOoCTu-xKEQ6jjjJ8M8UPa7KnTDOYpRGBSKKqH5Bn9ds4Z6PV9LRDUn3p2XdC4t0LU5MP5WKqXkL0ju_Wvr_LXvP1fScQjZtO7PeH9bO2iT89LlGjJOLndIO9DZbVB9ZMNZCNRPQVzqtdj6coQeXaLMU9dck62QGHqNQ6i9ADWOpyfdHrVEaT3e2q3PTGzMDw","e":"AQAB","kid":"rsa-1","use":"sig","alg":"RS256"},{"kty":"RSA","n":"nBexXQ36UWR0cK9-ApqOtJ8KBkHI4m0vDCoIfLJ5Hm9QA4YxjCjbsbCjGXMtxz5J2YPMSb8ThT8jf54nRl8jiruYsuul00NSit_2PBgoyxuJSW3m1Cu31Xcq2eXPLvgcGmvvP6nArn_DyJsopJ_aCV6cWS_oqs9z0MzEgbWGAavwE-X43NR5e8_ChNe-2jMpvoMmga9CNsmMdQwln5u3qpb3BYJYRJo0kGGIuClgMhbTbQSIOTrov0bP_36IacYbugQQVkcVc3OuUrhn9tClRIKs2qh4uSf2aUJfLYFiWXvhePJkRoxcjFCglxkqiBsM3BAEmjPRl7tw_1vtBOcXPQ","e":"AQAB","kid":"rsa-2","key_ops":["verify"]},{"kty":"RSA","n":"-4eSETg49ny7HVf-323SWXPy9PQH_JEBP6aylM3M17mDRBVYY69lhq810UaO0jWKZ86hioUxoUP7_RZZ0_5HME76UnJ5SisB0NqFJfasLLIAusGpzf9rD2ddvRilHhib6J5JBara6G6pIe8MB8DqzM2SS_cRVi5BKZbzxXb_fg8","e":"AQAB","kid":"weak"},{"kty":"EC","crv":"P-256","x":"fbZXSSyELtj3kq4XggNuyutkuiE-j-pEvtpolX-l4lk","y":"SAlmletirIXP0v3uCe9vsIAAq6mBMQrn-0kKbSpSV7U","kid":"p256"},{"kty":"EC","crv":"P-384","x":"HuRvl_GRpFA_FxfD6txlHNlb6nzFZ3ub5sfkkUtap-UCgg5A3XyUPm2wuI5gjw5P","y":"Ppqm2wSMy5fG-wd3rni5wjzBGDNsiHQKWN2VzK3EWOIns0nSiWPVUhn2m_OlcsOI"},{"kty":"OKP","crv":"Ed25519","x":"LjFa2e5L4HohcZEXHt_Zh1-DPEHx-YSMstVCzquYOvg"}]}"#;

/// Two RSA keys without key ids.
pub(super) const KEY_SET_ANONYMOUS: &str = r#"{"keys":[{"kty":"RSA","n":"nBexXQ36UWR0cK9-ApqOtJ8KBkHI4m0vDCoIfLJ5Hm9QA4YxjCjbsbCjGXMtxz5J2YPMSb8ThT8jf54nRl8jiruYsuul00NSit_2PBgoyxuJSW3m1Cu31Xcq2eXPLvgcGmvvP6nArn_DyJsopJ_aCV6cWS_oqs9z0MzEgbWGAavwE-X43NR5e8_ChNe-2jMpvoMmga9CNsmMdQwln5u3qpb3BYJYRJo0kGGIuClgMhbTbQSIOTrov0bP_36IacYbugQQVkcVc3OuUrhn9tClRIKs2qh4uSf2aUJfLYFiWXvhePJkRoxcjFCglxkqiBsM3BAEmjPRl7tw_1vtBOcXPQ","e":"AQAB"},{"kty":"RSA","n":"tfHwcKAYk537E9O52uyCzCXYDtM3O_nzYBh8nx92l97A6heBqTy1D7ZFFk0oqu6RhLsMvXrFTjRvdNiBVdIwUkKXWIS8nUUG9wWaplMfCAv8OHrtIw2rfnP9GdjpttRSa_LVWaxtP_tdTw9YoMSWFlOoCTu-xKEQ6jjjJ8M8UPa7KnTDOYpRGBSKKqH5Bn9ds4Z6PV9LRDUn3p2XdC4t0LU5MP5WKqXkL0ju_Wvr_LXvP1fScQjZtO7PeH9bO2iT89LlGjJOLndIO9DZbVB9ZMNZCNRPQVzqtdj6coQeXaLMU9dck62QGHqNQ6i9ADWOpyfdHrVEaT3e2q3PTGzMDw","e":"AQAB"}]}"#;
