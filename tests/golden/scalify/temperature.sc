; run: scalify
; blob w rms 0.02
graph @head(%x: f32[2,64]) -> (%p) {
  %w = const @w : f32[64,10]
  %s = matmul %x, %w : f32[2,10]
  %beta = const 1 : f32[]
  %p = softmax %s, %beta : f32[2,10]
}
; --- softmax takes its operand's exponent into the temperature
graph @head(%x: f32[2,64]) -> (%p) {
  %w = const @w : f32[64,10] * 2^-6
  %s = matmul %x, %w : f32[2,10] * 2^-6
  %beta = const 1 : f32[] * 2^6
  %6 = softmax %s, %beta : f32[2,10]
  %7 = rebalance %6, -3 : f32[2,10] * 2^-3
  %p = rebalance %7, 0 : f32[2,10]
}
