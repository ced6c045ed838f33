; run: scalify
; blob q rms 0.01
graph @attention(%x: f32[4,16], %m: bool[4,4]) -> (%p) {
  %q = const @q : f32[16,4]
  %s = matmul %x, %q : f32[4,4]
  %c = cast %m : f32[4,4]
  %one = const 1 : f32[]
  %d = sub %one, %c : f32[4,4]
  %lowest = const -3.4028234663852886e+38 : f32[]
  %w = mul %d, %lowest : f32[4,4]
  %t = add %s, %w : f32[4,4]
  %half = const 0.5 : f32[]
  %h = mul %t, %half : f32[4,4]
  %beta = const 1 : f32[]
  %p = softmax %h, %beta : f32[4,4]
}
; --- demand does not pass a product: the mask follows the scores, and stays finite on the way
graph @attention(%x: f32[4,16], %m: bool[4,4]) -> (%p) {
  %q = const @q : f32[16,4] * 2^-7
  %s = matmul %x, %q : f32[4,4] * 2^-7
  %6 = rebalance %s, -5 : f32[4,4] * 2^-5
  %c = cast %m : f32[4,4]
  %one = const 1 : f32[]
  %d = sub %one, %c : f32[4,4]
  %lowest = const -3.4028235e+38 : f32[]
  %w = mul %d, %lowest : f32[4,4]
  %12 = rebalance %w, -5 {saturate = 1} : f32[4,4] * 2^-5
  %t = add %6, %12 : f32[4,4] * 2^-5
  %half = const 0.5 : f32[] * 2^-1
  %h = mul %t, %half : f32[4,4] * 2^-6
  %one~2 = const 1 : f32[] * 2^6
  %17 = softmax %h, %one~2 : f32[4,4]
  %18 = rebalance %17, -2 : f32[4,4] * 2^-2
  %p = rebalance %18, 0 : f32[4,4]
}
