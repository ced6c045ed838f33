; run: scalify
graph @loud(%x: f32[2,16]) -> (%y) {
  %c = const [32768] as f32[1] : f32[1]
  %h = mul %x, %c : f32[2,16]
  %r = relu %h : f32[2,16]
  %w = const @w : f32[16,4]
  %y = matmul %r, %w : f32[2,4]
}
; --- a product reads it: a number of mask size is an honest factor
graph @loud(%x: f32[2,16]) -> (%y) {
  %c = const [32768] : f32[1] * 2^15
  %h = mul %x, %c : f32[2,16] * 2^15
  %r = relu %h : f32[2,16] * 2^15
  %w = const @w : f32[16,4]
  %7 = matmul %r, %w : f32[2,4] * 2^15
  %8 = rebalance %7, 17 : f32[2,4] * 2^17
  %y = rebalance %8, 0 : f32[2,4]
}
