#include "models/number_formats.hpp"

#include <gtest/gtest.h>

namespace foreplan {
namespace {

TEST(NumberFormats, StoreBf16AroundProductsOfFp8) {
  const NumberFormats formats = formats_of(DType::fp8);
  EXPECT_EQ(formats.storage, DType::bf16);
  EXPECT_EQ(formats.of_products(), DType::fp8);
}

TEST(NumberFormats, StoreFp32AroundProductsOfTf32) {
  const NumberFormats formats = formats_of(DType::tf32);
  EXPECT_EQ(formats.storage, DType::fp32);
  EXPECT_EQ(formats.of_products(), DType::tf32);
}

TEST(NumberFormats, AreOneFormatOtherwise) {
  for (const DType dtype : {DType::fp32, DType::fp16, DType::bf16}) {
    EXPECT_EQ(formats_of(dtype).storage, dtype);
    EXPECT_FALSE(formats_of(dtype).products.has_value());
    EXPECT_EQ(formats_of(dtype).of_products(), dtype);
  }
}

}  // namespace
}  // namespace foreplan
