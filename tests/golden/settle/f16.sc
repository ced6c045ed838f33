; run: scalify quantize settle --recipe fp8 --scale tensor
; rtol 0.2
; blob w rms 0.02
; blob v rms 0.02
graph @g(%x: f16[4,64]) -> (%y) {
  %w = const @w : f16[64,32]
  %1 = matmul %x, %w : f16[4,32] from "fc1"
  %2 = relu %1 : f16[4,32] from "act"
  %3 = mul %2, %2 : f16[4,32] from "square"
  %v = const @v : f16[32,8]
  %y = matmul %3, %v : f16[4,8] from "fc2"
}
; --- values of f16 are stored: they keep the exponents that scalify chose
graph @g(%x: f16[4,64]) -> (%y) {
  %3 = rebalance %x, -2 : f16[4,64] * 2^-2 from "fc1"
  %4 = cast %3 : f8e4m3fn[4,64] * 2^-2 from "fc1"
  %w = const @w : f8e4m3fn[64,32] * 2^-12
  %6 = matmul %4, %w : f32[4,32] * 2^-14 from "fc1"
  %7 = rebalance %6, -6 : f32[4,32] * 2^-6 from "fc1"
  %8 = cast %7 : f16[4,32] * 2^-6 from "fc1"
  %9 = rebalance %8, -3 : f16[4,32] * 2^-3 from "fc1"
  %10 = relu %9 : f16[4,32] * 2^-3 from "act"
  %11 = mul %10, %10 : f16[4,32] * 2^-6 from "square"
  %12 = rebalance %11, -8 : f16[4,32] * 2^-8 from "fc2"
  %13 = cast %12 : f8e4m3fn[4,32] * 2^-8 from "fc2"
  %v = const @v : f8e4m3fn[32,8] * 2^-12
  %15 = matmul %13, %v : f32[4,8] * 2^-20 from "fc2"
  %16 = rebalance %15, -12 : f32[4,8] * 2^-12 from "fc2"
  %17 = cast %16 : f16[4,8] * 2^-12 from "fc2"
  %y = rebalance %17, 0 : f16[4,8] from "fc2"
}
