; run: scalify quantize settle --recipe fp8
; rtol 0.2
; blob W rms 0.33680
; blob b rms 0.18050
; blob V rms 0.19614
graph @mnist(%x: f32[1,1,28,28]) -> (%y) {
  %w = const @W : f32[8,1,5,5]
  %b = const @b : f32[8]
  %5 = conv %x, %w, %b {strides = [1,1], pads = [2,2,2,2], dilations = [1,1]} : f32[1,8,28,28] from "Convolution28", "Plus30"
  %7 = relu %5 : f32[1,8,28,28] from "ReLU32"
  %9 = reshape %7 : f32[1,6272]
  %v = const @V : f32[6272,10]
  %y = matmul %9, %v : f32[1,10] from "Times212"
}
; --- what the channels are divided by leaves as a vector factor, and with it every rebalance but those of casts
graph @mnist(%x: f32[1,1,28,28]) -> (%y) {
  %3 = rebalance %x, -2 : f32[1,1,28,28] * 2^-2 from "Convolution28", "Plus30"
  %4 = cast %3 : f8e4m3fn[1,1,28,28] * 2^-2 from "Convolution28", "Plus30"
  %w = const @fold.feaae3fa9b41c2a3 : f8e4m3fn[8,1,5,5]
  %b = const @fold.cabe367e504aa504 : f32[8] * 2^-2 from "Convolution28", "Plus30"
  %7 = conv %4, %w, %b {strides = [1,1], pads = [2,2,2,2], dilations = [1,1]} : f32[1,8,28,28] * 2^-2 from "Convolution28", "Plus30"
  %8 = const @fold.eae773679bdfc661 : f32[8,1,1] from "Convolution28", "Plus30"
  %9 = mul %7, %8 : f32[1,8,28,28] * 2^-2 from "Convolution28", "Plus30"
  %10 = relu %9 : f32[1,8,28,28] * 2^-2 from "ReLU32"
  %11 = reshape %10 : f32[1,6272] * 2^-2
  %12 = cast %11 : f8e4m3fn[1,6272] * 2^-2 from "Times212"
  %v = const @fold.03e2402884cea007 : f8e4m3fn[6272,10]
  %14 = matmul %12, %v : f32[1,10] * 2^-2 from "Times212"
  %15 = const @fold.f0d4246916a69d00 : f32[10] from "Times212"
  %16 = mul %14, %15 : f32[1,10] * 2^-2 from "Times212"
  %y = rebalance %16, 0 : f32[1,10] from "Times212"
}
