#include "core/base/shared_library.h"

#include <gtest/gtest.h>

#include <string>

namespace weir {
namespace {

TEST(SharedLibrary, GivesFunctionsByName) {
  struct {
    SharedLibrary opened{"libm.so.6"};
    double (*trunc)(double) = opened.Find<double (*)(double)>("trunc");
  } math;
  ASSERT_TRUE(math.opened.status().ok()) << math.opened.status().message();
  EXPECT_EQ(math.trunc(2.5), 2);
}

TEST(SharedLibrary, TellsOfALibraryThatIsNotThere) {
  SharedLibrary library("libnot_there.so.1");
  EXPECT_EQ(library.status().code(), Code::kNotFound);
  EXPECT_NE(library.status().message().find("libnot_there.so.1"), std::string::npos) << library.status().message();
  EXPECT_EQ(library.Find<void (*)()>("anything"), nullptr);
}

TEST(SharedLibrary, TellsOfAFunctionThatIsNotThere) {
  SharedLibrary library("libm.so.6");
  EXPECT_EQ(library.Find<void (*)()>("not_there"), nullptr);
  EXPECT_EQ(library.status().message(), "libm.so.6: has no function not_there");
}

}  // namespace
}  // namespace weir
