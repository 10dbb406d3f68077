#include "base/base_test.h"

#include "base/hash.h"

static void assert_hex(const uint8_t *p, size_t n, const char *want)
{
    char hex[200];
    hash_hex(p, n, hex);
    assert_string_equal(hex, want);
}

/* hashlib of Python 3.11.7 over the first n bytes of 0, 1, ..., 255, 0, 1, ... */
static const struct {
    size_t n;
    const char *hex;
} sha_golden[] = {
    {0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
    {55, "463eb28e72f82e0a96c0a4cc53690c571281131f672aa229e0d45ae59b598b59"},
    {56, "da2ae4d6b36748f2a318f23e7ab1dfdf45acdc9d049bd80e59de82a60895f562"},
    {63, "29af2686fd53374a36b0846694cc342177e428d1647515f078784d69cdb9e488"},
    {64, "fdeab9acf3710362bd2658cdc9a29e8f9c757fcf9811603a8c447cd1d9151108"},
    {65, "4bfd2c8b6f1eec7a2afeb48b934ee4b2694182027e6d0fc075074f2fabb31781"},
    {119, "da18797ed7c3a777f0847f429724a2d8cd5138e6ed2895c3fa1a6d39d18f7ec6"},
    {127, "92ca0fa6651ee2f97b884b7246a562fa71250fedefe5ebf270d31c546bfea976"},
    {128, "471fb943aa23c511f6f72f8d1652d9c880cfa392ad80503120547703e56a2be5"},
    {1000, "a8af099bf2e878609558dbf69d8f88f4a31040a8cf84b549a0cfa912f12ffc3f"},
    {1280, "d414b085826eb06778483ba35564dc849e643359f69ed9747878ba6e54985bed"},
};

static void sha256_both_ways(void **state)
{
    (void)state;
    uint8_t m[1280], out[32];
    for (size_t i = 0; i < sizeof m; i++)
        m[i] = (uint8_t)i;
    for (int plain = 0; plain < 2; plain++) {
        hash_use_plain(plain);
        for (size_t k = 0; k < sizeof sha_golden / sizeof *sha_golden; k++) {
            sha256_of((struct str){(char *)m, sha_golden[k].n}, out);
            assert_hex(out, 32, sha_golden[k].hex);
        }
        sha256_of(STR("abc"), out); /* FIPS 180-4's own example */
        assert_hex(out, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
    hash_use_plain(false);
}

static void sha256_in_pieces(void **state)
{
    (void)state;
    uint8_t m[1280], want[32], got[32];
    for (size_t i = 0; i < sizeof m; i++)
        m[i] = (uint8_t)(i * i);
    sha256_of((struct str){(char *)m, sizeof m}, want);
    for (size_t piece = 1; piece < 200; piece++) {
        struct sha256 s;
        sha256_init(&s);
        for (size_t at = 0; at < sizeof m; at += piece)
            sha256_put(&s, m + at, sizeof m - at < piece ? sizeof m - at : piece);
        sha256_put(&s, NULL, 0);
        sha256_end(&s, got);
        assert_memory_equal(got, want, 32);
    }
}

static void hmac(void **state)
{
    (void)state;
    uint8_t out[32];
    char key[132];
    /* RFC 4231, test cases 1, 2 and 6 */
    memset(key, 0x0b, 20);
    sha256_hmac((struct str){key, 20}, STR("Hi There"), out);
    assert_hex(out, 32, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    sha256_hmac(STR("Jefe"), STR("what do ya want for nothing?"), out);
    assert_hex(out, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, 131);
    sha256_hmac((struct str){key, 131},
                STR("Test Using Larger Than Block-Size Key - Hash Key First"), out);
    assert_hex(out, 32, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    /* Python's hmac, keys of 64 and 65 bytes */
    memset(key, 'k', 65);
    sha256_hmac((struct str){key, 64}, STR("m"), out);
    assert_hex(out, 32, "3b7a8d453e76edb519238a515105a57508d0f169f480ebeee120a9e7803289fa");
    sha256_hmac((struct str){key, 65}, STR("m"), out);
    assert_hex(out, 32, "c2d7d4c2256ddb097409ec0c67e1d58fa1a007fc6932cac0d892a525d08af7cc");
}

static void sha256_of_files(void **state)
{
    (void)state;
    struct err e = {0};
    uint8_t got[32], want[32];
    size_t n = (1 << 19) + 77; /* more than one piece */
    char *p = malloc(n);
    for (size_t i = 0; i < n; i++)
        p[i] = (char)(i % 251);
    testdir_write(testdir_path("f"), p, n);
    OK(sha256_file(testdir_path("f"), got, &e));
    sha256_of((struct str){p, n}, want);
    assert_memory_equal(got, want, 32);
    free(p);
    FAILS(sha256_file(testdir_path("none"), got, &e), ERR_IO, "none");
    fault_arm(FAULT_READ, 3, false);
    FAILS(sha256_file(testdir_path("f"), got, &e), ERR_IO, "/f: cannot read");
    fault_arm(FAULT_MEM, 1, false);
    FAILS(sha256_file(testdir_path("f"), got, &e), ERR_NOMEM, "/f: out of memory");
}

static void crc32c(void **state)
{
    (void)state;
    uint8_t b[32];
    for (int plain = 0; plain < 2; plain++) {
        hash_use_plain(plain);
        assert_int_equal(hash_crc32c(0, "123456789", 9), 0xe3069283u);
        assert_int_equal(hash_crc32c(0, "", 0), 0);
        /* RFC 3720, B.4 */
        memset(b, 0, 32);
        assert_int_equal(hash_crc32c(0, b, 32), 0x8a9136aau);
        memset(b, 0xff, 32);
        assert_int_equal(hash_crc32c(0, b, 32), 0x62a8ab43u);
        for (int i = 0; i < 32; i++)
            b[i] = (uint8_t)i;
        assert_int_equal(hash_crc32c(0, b, 32), 0x46dd794eu);
        for (size_t cut = 0; cut <= 32; cut++)
            assert_int_equal(hash_crc32c(hash_crc32c(0, b, cut), b + cut, 32 - cut), 0x46dd794eu);
    }
    hash_use_plain(false);
}

static void xxhash(void **state)
{
    (void)state;
    assert_true(hash_xxh64("", 0, 0) == 0xef46db3751d8e999u);
    assert_true(hash_xxh64("xxhash", 6, 0) == 0x32dd38952c4bc720u);
    assert_true(hash_xxh64("xxhash", 6, 20141025) == 0xb559b98d844e0635u);
    struct hash128 h = hash_xxh128("", 0); /* 99aa06d3014798d86001c324468d497f */
    assert_true(h.hi == 0x99aa06d3014798d8u && h.lo == 0x6001c324468d497fu);
}

static void hexadecimal(void **state)
{
    (void)state;
    struct err e = {0};
    uint8_t out[4];
    OK(hash_unhex(STR("00fFA9"), out, 3, &e));
    assert_hex(out, 3, "00ffa9");
    OK(hash_unhex(STR(""), out, 0, &e));
    FAILS(hash_unhex(STR("00f"), out, 2, &e), ERR_FORMAT,
          "4 hexadecimal digits were expected, not 3");
    FAILS(hash_unhex(STR("0g"), out, 1, &e), ERR_FORMAT, "position 1");
    FAILS(hash_unhex(STR("00:1"), out, 2, &e), ERR_FORMAT, "position 2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sha256_both_ways), TEST(sha256_in_pieces), TEST(hmac),        TEST(sha256_of_files),
        TEST(crc32c),           TEST(xxhash),           TEST(hexadecimal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
