#include "core/template/letters.h"

#include <iterator>

namespace weir::tmpl {
namespace {

// A run of lower-case letters `first`…`last`. distance 1: upper and lower alternate, upper first; otherwise the
// upper-case letter stands `distance` before.
struct CaseRun {
  char32_t first, last;
  int distance;
};

constexpr CaseRun kRuns[] = {
    {'a', 'z', 32},     {0xe0, 0xf6, 32},   {0xf8, 0xfe, 32},    {0x101, 0x12f, 1},   {0x133, 0x137, 1},
    {0x13a, 0x148, 1},  {0x14b, 0x177, 1},  {0x17a, 0x17e, 1},   {0x3ac, 0x3ac, 38},  {0x3ad, 0x3af, 37},
    {0x3b1, 0x3c1, 32}, {0x3c3, 0x3cb, 32}, {0x430, 0x44f, 32},  {0x450, 0x45f, 80},  {0x461, 0x481, 1},
    {0x48b, 0x4bf, 1},  {0x561, 0x586, 48}, {0x1e01, 0x1e95, 1}, {0x1ea1, 0x1eff, 1}, {0xff41, 0xff5a, 32},
};

}  // namespace

char32_t ToUpperRune(char32_t rune) {
  if (rune == 0xff) {
    return 0x178;
  }
  if (rune == 0xb5) {
    return 0x39c;
  }
  if (rune == 0x3c2) {
    return 0x3a3;
  }
  for (const CaseRun& run : kRuns) {
    if (rune >= run.first && rune <= run.last && (run.distance > 1 || (rune - run.first) % 2 == 0)) {
      return rune - static_cast<char32_t>(run.distance);
    }
  }
  return rune;
}

char32_t ToLowerRune(char32_t rune) {
  if (rune == 0x178) {
    return 0xff;
  }
  for (const CaseRun& run : kRuns) {
    const char32_t lower = rune + static_cast<char32_t>(run.distance);
    if (lower >= run.first && lower <= run.last && (run.distance > 1 || (lower - run.first) % 2 == 0)) {
      return lower;
    }
  }
  return rune;
}

bool IsWordRune(char32_t rune) {
  if (rune < 0x80) {
    return rune == '_' || (rune >= '0' && rune <= '9') || (rune >= 'a' && rune <= 'z') || (rune >= 'A' && rune <= 'Z');
  }
  return rune != 0x85 && rune != 0xa0 && rune != 0x1680 && !(rune >= 0x2000 && rune <= 0x205f) && rune != 0x3000;
}

}  // namespace weir::tmpl
