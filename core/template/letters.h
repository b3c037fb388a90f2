#pragma once
// Upper and lower case of the alphabets that have them, without a locale.

namespace weir::tmpl {

char32_t ToUpperRune(char32_t rune);
char32_t ToLowerRune(char32_t rune);
// RETURNS: whether a rune continues a word (letters, digits, underscore; beyond ASCII everything but spaces and
// punctuation).
bool IsWordRune(char32_t rune);

}  // namespace weir::tmpl
