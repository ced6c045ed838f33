; run: scalify
; blob q rms 0.01
graph @attention(%x: f32[4,16], %m: bool[4,4]) -> (%p) {
  %q = const @q : f32[16,4]
  %s = matmul %x, %q : f32[4,4]
  %zero = const 0 : f32[]
  %lowest = const -3.4028234663852886e+38 : f32[]
  %w = where %m, %zero, %lowest : f32[4,4]
  %t = add %s, %w : f32[4,4]
  %beta = const 1 : f32[]
  %p = softmax %t, %beta : f32[4,4]
}
; --- the mask has no vote; scores and mask meet in the original numbers, and nothing grows before
graph @attention(%x: f32[4,16], %m: bool[4,4]) -> (%p) {
  %q = const @q : f32[16,4] * 2^-7
  %s = matmul %x, %q : f32[4,4] * 2^-7
  %zero = const 0 : f32[]
  %lowest = const -3.4028235e+38 : f32[]
  %w = where %m, %zero, %lowest : f32[4,4]
  %9 = rebalance %s, 0 : f32[4,4]
  %t = add %9, %w : f32[4,4]
  %beta = const 1 : f32[]
  %12 = softmax %t, %beta : f32[4,4]
  %13 = rebalance %12, -2 : f32[4,4] * 2^-2
  %p = rebalance %13, 0 : f32[4,4]
}
