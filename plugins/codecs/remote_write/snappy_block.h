#pragma once
// Decompression of snappy blocks (format_description.txt of the snappy project): a length, then literals and copies of what has
// been written before.

#include <cstddef>
#include <string_view>

namespace weir::remote_write {

// Decompresses the tags of a block, what follows its length, into `out`, which has room for `size` bytes. RETURNS: whether they are whole
// and make exactly `size` bytes; else some of `out` may have been written.
bool DecodeSnappyTags(std::string_view tags, char* out, size_t size);

}  // namespace weir::remote_write
