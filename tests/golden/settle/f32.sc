; run: scalify settle
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
; --- nothing is stored low, so nothing of scalify is left
graph @mnist [scaled] (%x: f32[1,1,28,28]) -> (%y) {
  %w = const @W : f32[8,1,5,5]
  %b = const @b : f32[8]
  %5 = conv %x, %w, %b {strides = [1,1], pads = [2,2,2,2], dilations = [1,1]} : f32[1,8,28,28] from "Convolution28", "Plus30"
  %6 = relu %5 : f32[1,8,28,28] from "ReLU32"
  %7 = reshape %6 : f32[1,6272]
  %v = const @V : f32[6272,10]
  %y = matmul %7, %v : f32[1,10] from "Times212"
}
