#include <stddef.h>
#include <stdint.h>

uint32_t checksum_crc32(const uint8_t *bytes, size_t length) {
    uint32_t sum = 0xffffffff;
    for (size_t i = 0; i < length; i++) {
        sum ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) {
            sum = (sum >> 1) ^ (0xedb88320 & -(sum & 1));
        }
    }
    return ~sum;
}
