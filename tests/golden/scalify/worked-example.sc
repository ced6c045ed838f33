; run: scalify
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
; --- log2 RMS of W, b, V are -1.57, -2.47, -2.35: g 2.76 moves 3 bits, -0.74 one back, 7.22 seven
graph @mnist(%x: f32[1,1,28,28]) -> (%y) {
  %w = const @W : f32[8,1,5,5] * 2^-2
  %b = const @b : f32[8] * 2^-2
  %5 = conv %x, %w, %b {strides = [1,1], pads = [2,2,2,2], dilations = [1,1]} : f32[1,8,28,28] * 2^-2 from "Convolution28", "Plus30"
  %6 = rebalance %5, 1 : f32[1,8,28,28] * 2^1 from "Convolution28", "Plus30"
  %7 = relu %6 : f32[1,8,28,28] * 2^1 from "ReLU32"
  %8 = rebalance %7, 0 : f32[1,8,28,28] from "ReLU32"
  %9 = reshape %8 : f32[1,6272]
  %v = const @V : f32[6272,10] * 2^-3
  %11 = matmul %9, %v : f32[1,10] * 2^-3 from "Times212"
  %12 = rebalance %11, 4 : f32[1,10] * 2^4 from "Times212"
  %y = rebalance %12, 0 : f32[1,10] from "Times212"
}
